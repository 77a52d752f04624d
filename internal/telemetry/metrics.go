// Package telemetry says how Sigpost is doing: Prometheus metrics and the log.
// It knows nothing of what it counts but names.
package telemetry

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are the counters of one process.
type Metrics struct {
	registry   *prometheus.Registry
	accepted   *prometheus.CounterVec
	duplicates *prometheus.CounterVec
	rejected   *prometheus.CounterVec
	intake     prometheus.Histogram
	attempts   *prometheus.CounterVec
	deliveries *prometheus.CounterVec
	delivery   prometheus.Histogram
	commit     prometheus.Histogram
	rows       prometheus.Counter
}

// Buckets in seconds: a commit takes about a millisecond, a webhook is answered
// in a few, a slow endpoint takes its 15 seconds, a mended one hours.
var (
	fast = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5}
	slow = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 15, 60, 300, 1800, 3600, 6 * 3600, 24 * 3600, 168 * 3600}
)

// NewMetrics makes the metrics; oldestDue is asked at each scrape how long the
// delivery that has been due the longest has waited.
func NewMetrics(oldestDue func() time.Duration) *Metrics {
	m := &Metrics{
		registry:   prometheus.NewRegistry(),
		accepted:   counters("sigpost_accepted_total", "Webhooks verified and kept, by source.", "source"),
		duplicates: counters("sigpost_duplicates_total", "Verified webhooks that were kept before, by source.", "source"),
		rejected:   counters("sigpost_rejected_total", "Requests not accepted, by source and reason.", "source", "reason"),
		intake:     histogram("sigpost_append_seconds", "Time from the first byte of an accepted webhook to its answer, which follows the commit.", fast),
		attempts:   counters("sigpost_attempts_total", "Attempts, by outcome.", "outcome"),
		deliveries: counters("sigpost_deliveries_total", "Deliveries that reached a state, by state.", "state"),
		delivery:   histogram("sigpost_delivery_seconds", "Time from acceptance to delivery.", slow),
		commit:     histogram("sigpost_commit_seconds", "Time of one transaction of the store.", fast),
		rows: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sigpost_commit_rows_total", Help: "Units of work in the transactions of the store."}),
	}
	oldest := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "sigpost_oldest_due_seconds", Help: "How long the delivery that has been due the longest has waited; 0 when nothing is due.",
	}, func() float64 { return oldestDue().Seconds() })
	m.registry.MustRegister(m.accepted, m.duplicates, m.rejected, m.intake, m.attempts, m.deliveries, m.delivery, m.commit, m.rows, oldest,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func histogram(name, help string, buckets []float64) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
}

// Handler serves the metrics in Prometheus' text format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Accepted counts a kept webhook.
func (m *Metrics) Accepted(source string, took time.Duration) {
	m.accepted.WithLabelValues(source).Inc()
	m.intake.Observe(took.Seconds())
}

// Duplicate counts a webhook that was kept before.
func (m *Metrics) Duplicate(source string) { m.duplicates.WithLabelValues(source).Inc() }

// Rejected counts a request that was not accepted.
func (m *Metrics) Rejected(source, reason string) { m.rejected.WithLabelValues(source, reason).Inc() }

// Attempt counts an attempt.
func (m *Metrics) Attempt(outcome string) { m.attempts.WithLabelValues(outcome).Inc() }

// Settled counts a delivery that reached a state for good, or for as long as
// its endpoint is held.
func (m *Metrics) Settled(state string) { m.deliveries.WithLabelValues(state).Inc() }

// Delivered notes how long a delivery took from acceptance.
func (m *Metrics) Delivered(took time.Duration) { m.delivery.Observe(took.Seconds()) }

// Committed counts a transaction.
func (m *Metrics) Committed(rows int, took time.Duration) {
	m.commit.Observe(took.Seconds())
	m.rows.Add(float64(rows))
}
