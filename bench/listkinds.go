package main

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sigpost/sigpost/bench/internal/fill"
)

// listKind is one way to ask for a list.
type listKind struct {
	name string
	path string
	rows bool // there are rows that match: a list that ends without one is wrong
}

// listKinds are lists of each kind with each filter, and with combinations that are hard:
// terms that are frequent but never meet, or that are rare.
func listKinds(app, endpoint string, middle time.Time) []listKind {
	base := "/api/v1/app/" + url.PathEscape(app)
	var all []listKind
	add := func(of, path string, rows bool, queries ...string) {
		for _, q := range queries {
			all = append(all, listKind{name: strings.TrimSuffix(of+" "+strings.NewReplacer("&", " ", "+", "-").Replace(q), " "), path: base + path + "?" + listQuery(q, middle), rows: rows})
		}
	}
	both := "after=EARLY&before=MIDDLE"
	add("msg", "/msg", true,
		"", "with_content=false", "event_types=COMMON", "event_types=RARE", "event_types=TYPE", "event_types=TYPE&event_types=RARE&event_types=COMMON",
		"channel=ODD", "tag=TAG", "tag=RARETAG", "before=MIDDLE", "after=MIDDLE", both,
		"event_types=COMMON&channel=ODD", "event_types=COMMON&channel=ODD&tag=TAG", "event_types=COMMON&before=MIDDLE", "channel=ODD&tag=TAG&"+both, "search=PASSPORT")
	add("msg", "/msg", false,
		"event_types=NONE", "event_types=NONE&before=MIDDLE", "event_types=COMMON&channel=EVEN", "channel=EVEN&tag=TAG", "event_types=RARE&channel=ODD",
		"event_types=RARE&before=MIDDLE", "search=not+in+any", "event_types=COMMON&search=not+in+any")
	add("attempt", "/attempt/endpoint/"+endpoint, true,
		"", "with_msg=true", "status=0", "status=2", "status_code_class=200", "status_code_class=500", "status_code_class=0", "event_types=COMMON",
		"channel=ODD", "tag=TAG", "before=MIDDLE", "after=MIDDLE", "status=2&status_code_class=400", "status=2&event_types=COMMON", "status=0&channel=ODD&before=MIDDLE")
	add("attempt", "/attempt/endpoint/"+endpoint, false,
		"status=4", "status_code_class=300", "event_types=RARE", "event_types=NONE", "status=0&event_types=RARE", "status=2&event_types=RARE", "channel=EVEN&tag=TAG")
	add("endpoint/msg", "/endpoint/"+endpoint+"/msg", true,
		"", "status=0", "status=1", "status=2", "status=4", "event_types=COMMON", "channel=ODD", "tag=TAG", "before=MIDDLE", "status=2&before=MIDDLE", "status=0&event_types=COMMON")
	add("endpoint/msg", "/endpoint/"+endpoint+"/msg", false,
		"status=3", "status=1&expanded_statuses=true", "event_types=RARE", "event_types=NONE", "status=0&event_types=RARE", "status=2&event_types=RARE", "channel=EVEN&tag=TAG")
	return all
}

// listQuery puts values for the words in capitals into a query. The odd channel and the tag
// are those of some messages of the common type; the even channel has none of either.
func listQuery(q string, middle time.Time) string {
	at := func(t time.Time) string { return url.QueryEscape(t.UTC().Format(time.RFC3339Nano)) }
	const early = 5 * time.Second
	words := strings.NewReplacer("COMMON", fill.Common, "RARETAG", fill.RareTag, "RARE", fill.Rare, "TYPE", fill.Type(7), "NONE", "bench.none",
		"ODD", fill.Channel(3), "EVEN", fill.Channel(4), "TAG", fill.Tag(3), "MIDDLE", at(middle), "EARLY", at(middle.Add(-early)))
	return strings.TrimPrefix(words.Replace(q)+"&limit="+strconv.Itoa(listRows), "&")
}
