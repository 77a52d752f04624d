package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"
)

// setPath carries out one --set, "path=value", on a JSON body. The path is
// names with dots between them; a number picks an element of a list, -1
// appends one, and \. is a dot in a name. The value is JSON if it can be read
// as such, else text. All other bytes of the body stay as they are.
func setPath(body []byte, assignment string) ([]byte, error) {
	path, value, found := strings.Cut(assignment, "=")
	if !found {
		return nil, fmt.Errorf("%q has no =; write it as path=value, for example verification.status=declined", assignment)
	}
	keys, err := splitPath(path)
	if err != nil {
		return nil, err
	}
	if err := checkPath(gjson.ParseBytes(body), keys); err != nil {
		return nil, err
	}
	raw, err := jsonValue(value)
	if err != nil {
		return nil, err
	}
	changed, err := sjson.SetRawBytes(body, path, raw)
	if err != nil || !json.Valid(changed) {
		return nil, fmt.Errorf("%s cannot be set in this body", path)
	}
	return changed, nil
}

// jsonValue is the value as compact JSON, so that a compact body stays so.
func jsonValue(value string) ([]byte, error) {
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(value)); err == nil {
		return b.Bytes(), nil
	}
	b.Reset()
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // senders write < and & as they are
	err := enc.Encode(value)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// splitPath is the names of a path. What sjson would take for a query is refused.
func splitPath(path string) ([]string, error) {
	var keys []string
	var key strings.Builder
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '\\' && i+1 < len(path):
			i++
			key.WriteByte(path[i])
		case c == '.':
			keys = append(keys, key.String())
			key.Reset()
		case strings.IndexByte("*?#@|", c) >= 0:
			return nil, fmt.Errorf("path %q has a %c, which names more than one place; write \\%c if it is part of a name", path, c, c)
		default:
			key.WriteByte(c)
		}
	}
	keys = append(keys, key.String())
	for _, k := range keys {
		if k == "" {
			return nil, fmt.Errorf("path %q has an empty name; write names with dots between them, for example verification.status", path)
		}
	}
	return keys, nil
}

// checkPath refuses paths that would turn a value into something else, or fill
// a list with nulls up to a far index: both are slips of the pen.
func checkPath(at gjson.Result, keys []string) error {
	for i, key := range keys {
		where := strings.Join(keys[:i], ".")
		switch {
		case at.IsObject():
			at = member(at, key)
		case at.IsArray():
			elements := at.Array()
			n, err := strconv.Atoi(key)
			if err != nil || n < -1 || n > len(elements) {
				return fmt.Errorf("%s is a list of %d, and %q is not one of its places; use 0 to %d, or -1 to append", where, len(elements), key, max(0, len(elements)-1))
			}
			at = gjson.Result{}
			if n >= 0 && n < len(elements) {
				at = elements[n]
			}
		case at.Type == gjson.Null: // also what is not there
			if n, err := strconv.Atoi(key); err == nil && n > 0 {
				return fmt.Errorf("%s is not a list, so it has no place %d; set it whole, for example --set '%s=[1,2]'", where, n, where)
			}
			at = gjson.Result{}
		default:
			return fmt.Errorf("%s is a %s, so there is nothing below it; set it whole, for example --set '%s={…}'", where, kindOf(at), where)
		}
	}
	return nil
}

// member is the member of an object; of several with one name the first, which
// is the one that sjson changes.
func member(object gjson.Result, name string) (found gjson.Result) {
	object.ForEach(func(key, value gjson.Result) bool {
		if key.String() != name {
			return true
		}
		found = value
		return false
	})
	return found
}

func kindOf(v gjson.Result) string {
	switch v.Type {
	case gjson.Number:
		return "number"
	case gjson.True, gjson.False:
		return "boolean"
	default:
		return "text"
	}
}
