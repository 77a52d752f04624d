package strictyaml

import (
	"encoding"
	"errors"
	"math"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// scalar reads the single value n into to.
func (r *reader) scalar(n *yaml.Node, path string, to reflect.Value) {
	if n.Kind != yaml.ScalarNode {
		r.mismatch(n, path, "a single value", to.Type())
		return
	}
	text := n.Value
	if r.doc.scalar != nil {
		var err error
		if text, err = r.doc.scalar(path, text); err != nil {
			r.fault(n, path, "%s", err)
			return
		}
	}
	if problem := convert(text, to); problem != "" {
		r.fault(n, path, "%s", problem)
	}
}

// convert puts text into to, and says what is wrong with it otherwise. Texts
// are taken as they are written: 0123 is a fine text, and so is yes.
func convert(text string, to reflect.Value) (problem string) {
	switch into := to.Addr().Interface().(type) {
	case *time.Duration:
		return convertDuration(text, into)
	case *netip.Prefix:
		return convertPrefix(text, into)
	case *netip.Addr:
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return quote(text) + " is not an IP address"
		}
		*into = addr
		return ""
	case encoding.TextUnmarshaler:
		if err := into.UnmarshalText([]byte(text)); err != nil {
			return err.Error()
		}
		return ""
	}
	switch {
	case to.Kind() == reflect.String:
		to.SetString(text)
		return ""
	case to.Kind() == reflect.Bool:
		return convertBool(text, to)
	case to.CanInt(), to.CanUint(), to.CanFloat():
		return convertNumber(text, to)
	}
	return "a value of type " + to.Type().String() + " cannot be read; this is a fault in the program"
}

func convertDuration(text string, into *time.Duration) string {
	d, err := time.ParseDuration(text)
	if err == nil {
		*into = d
		return ""
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return quote(text) + " has no unit; write " + quote(clipNumber(text)+"s") + " for seconds, or use ms, m, h"
	}
	if days, err := strconv.Atoi(strings.TrimSuffix(text, "d")); err == nil && days > 0 && days < 10_000 {
		return quote(text) + " is not a duration; write " + quote(strconv.Itoa(days*24)+"h") + " for days"
	}
	return quote(text) + ` is not a duration; write it like "30s", "5m" or "168h"`
}

// clipNumber keeps an absurd number from appearing twice in a message.
func clipNumber(text string) string {
	if len(text) > 20 {
		return "30"
	}
	return text
}

func convertPrefix(text string, into *netip.Prefix) string {
	prefix, err := netip.ParsePrefix(text)
	if err == nil {
		*into = prefix
		return ""
	}
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		return quote(text) + " is an address, not a network; write " + quote(netip.PrefixFrom(addr, addr.BitLen()).String())
	}
	return quote(text) + ` is not a network; write it like "10.0.0.0/8"`
}

func convertBool(text string, to reflect.Value) string {
	switch strings.ToLower(text) {
	case "true":
		to.SetBool(true)
	case "false":
		to.SetBool(false)
	case "yes", "on", "y", "1":
		return quote(text) + " is neither true nor false; write true"
	case "no", "off", "n", "0":
		return quote(text) + " is neither true nor false; write false"
	default:
		return quote(text) + " is neither true nor false"
	}
	return ""
}

func convertNumber(text string, to reflect.Value) string {
	var err error
	bits := to.Type().Bits()
	switch {
	case to.CanInt():
		var v int64
		if v, err = strconv.ParseInt(text, 10, bits); err == nil {
			to.SetInt(v)
		}
	case to.CanUint():
		var v uint64
		if v, err = strconv.ParseUint(text, 10, bits); err == nil {
			to.SetUint(v)
		}
	default:
		var v float64
		v, err = strconv.ParseFloat(text, bits)
		if err == nil && (math.IsNaN(v) || math.IsInf(v, 0)) {
			err = strconv.ErrSyntax
		}
		if err == nil {
			to.SetFloat(v)
			return ""
		}
	}
	switch {
	case err == nil:
		return ""
	case errors.Is(err, strconv.ErrRange):
		return quote(text) + " is out of range"
	case to.CanFloat():
		return quote(text) + " is not a number"
	case to.CanUint():
		return quote(text) + " is not a whole number from 0 up"
	}
	return quote(text) + " is not a whole number"
}
