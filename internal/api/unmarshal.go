package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// unmarshal reads the body of a request. The library reads each body twice: as plain maps,
// which it checks, and as the type that the handler gets. An object that has a member twice
// could be one thing to the first and another to the second, and for the second "Role" is
// "role"; such a body is refused, or what was checked would not be what is done.
func unmarshal(data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return err
	}
	return onceEach(data, reflect.TypeOf(v).Elem())
}

// onceEach looks for members that are there twice, where t has a field for them. What
// is kept as it was written – payloads, schemas – is not looked into. raw is JSON.
func onceEach(raw []byte, t reflect.Type) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case isMaybe(t):
		field, _ := t.FieldByName("Value")
		return onceEach(raw, field.Type)
	case reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()):
		return nil
	case t.Kind() == reflect.Struct && raw[firstOf(raw)] == '{':
		return eachOnce(raw, t)
	case t.Kind() == reflect.Slice && mayHold(t.Elem()) && raw[firstOf(raw)] == '[':
		return eachItem(raw, t.Elem())
	}
	return nil
}

// firstOf is where a value begins.
func firstOf(raw []byte) int { return len(raw) - len(bytes.TrimLeft(raw, " \t\r\n")) }

// isMaybe says whether t is a field of a PATCH.
func isMaybe(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && strings.HasPrefix(t.Name(), "Maybe[")
}

// mayHold says whether there may be objects with fields of ours in a value.
func mayHold(t reflect.Type) bool {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() == reflect.Struct || t.Kind() == reflect.Slice
}

func eachItem(raw []byte, t reflect.Type) error {
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		return err
	}
	for _, item := range items {
		if err := onceEach(item, t); err != nil {
			return err
		}
	}
	return nil
}

func eachOnce(raw []byte, t reflect.Type) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	if _, err := d.Token(); err != nil { // the bracket
		return err
	}
	var seen []string
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		var member json.RawMessage
		if err := d.Decode(&member); err != nil {
			return err
		}
		name, kind := fieldOf(t, key.(string))
		if name == "" {
			continue
		}
		if slices.Contains(seen, name) {
			return fmt.Errorf("%q is there twice, perhaps in letters of another case; give it once", name)
		}
		seen = append(seen, name)
		if err := onceEach(member, kind); err != nil {
			return err
		}
	}
	return nil
}

// fieldOf is the field into which a member is read, as encoding/json finds it: in whatever
// case its name is written.
func fieldOf(t reflect.Type, key string) (name string, kind reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && f.Type.Kind() == reflect.Struct && name == "":
			if name, kind := fieldOf(f.Type, key); name != "" {
				return name, kind
			}
		case f.IsExported() && name != "" && name != "-" && strings.EqualFold(name, key):
			return name, f.Type
		}
	}
	return "", nil
}
