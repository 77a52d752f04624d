// Package report turns what was measured into figures, and the figures into a table for
// people and a file for programs.
package report

import (
	"cmp"
	"math"
	"slices"
)

// Percentile is the smallest of values that at least p percent of them do not exceed (the
// nearest-rank method: always a value that occurred, never one in between). 0 if there are
// none. values need not be sorted.
func Percentile[T cmp.Ordered](values []T, p float64) T {
	if len(values) == 0 {
		var zero T
		return zero
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// Median is the middle of values, or the mean of the middle two. 0 if there are none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

// Ratios divides the values pair by pair.
func Ratios(values, by []float64) []float64 {
	ratios := make([]float64, min(len(values), len(by)))
	for i := range ratios {
		ratios[i] = values[i] / by[i]
	}
	return ratios
}
