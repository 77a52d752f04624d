package strictyaml

import (
	"fmt"
	"strings"

	"github.com/agnivade/levenshtein"
)

// DidYouMean is `did you mean "veriff"?` with the one of known that is nearest
// to got, or empty when none is near: at most every third character may
// differ. Case, hyphens and underscores do not count.
func DidYouMean(got string, known []string) string {
	const longest = 64 // nobody mistypes a longer name, and the comparison is quadratic
	if got == "" || len(got) > longest {
		return ""
	}
	best, least := "", (len(got)+2)/3+1
	for _, name := range known {
		if d := levenshtein.ComputeDistance(plain(got), plain(name)); d < least {
			best, least = name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// plain is a name without what people write this way or that.
func plain(s string) string {
	return strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(s))
}
