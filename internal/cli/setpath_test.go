package cli

import (
	"strings"
	"testing"
)

func TestSetPathChangesOnlyWhatItNames(t *testing.T) {
	t.Parallel()
	const body = `{"a":{"b":1,"c.d":"x"},"list":[1,{"z":2}],"none":null}`
	tests := map[string]string{
		`a.b=2`:              `{"a":{"b":2,"c.d":"x"},"list":[1,{"z":2}],"none":null}`,
		`a.b=two`:            `{"a":{"b":"two","c.d":"x"},"list":[1,{"z":2}],"none":null}`,
		`a.b="2"`:            `{"a":{"b":"2","c.d":"x"},"list":[1,{"z":2}],"none":null}`,
		`a.b=<a> & "b"`:      `{"a":{"b":"<a> & \"b\"","c.d":"x"},"list":[1,{"z":2}],"none":null}`,
		`a.b={ "k": [1, 2]}`: `{"a":{"b":{"k":[1,2]},"c.d":"x"},"list":[1,{"z":2}],"none":null}`,
		`a.b=`:               `{"a":{"b":"","c.d":"x"},"list":[1,{"z":2}],"none":null}`,
		`a.b=x=y`:            `{"a":{"b":"x=y","c.d":"x"},"list":[1,{"z":2}],"none":null}`,
		`a.c\.d=null`:        `{"a":{"b":1,"c.d":null},"list":[1,{"z":2}],"none":null}`,
		`list.0=true`:        `{"a":{"b":1,"c.d":"x"},"list":[true,{"z":2}],"none":null}`,
		`list.1.z=3`:         `{"a":{"b":1,"c.d":"x"},"list":[1,{"z":3}],"none":null}`,
		`list.2=3`:           `{"a":{"b":1,"c.d":"x"},"list":[1,{"z":2},3],"none":null}`,
		`list.-1=3`:          `{"a":{"b":1,"c.d":"x"},"list":[1,{"z":2},3],"none":null}`,
		`new.x.y=1`:          `{"a":{"b":1,"c.d":"x"},"list":[1,{"z":2}],"none":null,"new":{"x":{"y":1}}}`,
		`none.x=1`:           `{"a":{"b":1,"c.d":"x"},"list":[1,{"z":2}],"none":{"x":1}}`,
	}
	for assignment, want := range tests {
		got, err := setPath([]byte(body), assignment)
		if err != nil || string(got) != want {
			t.Errorf("%s gives\n%s, %v\nwant\n%s", assignment, got, err, want)
		}
	}
}

func TestSetPathRefusesSlips(t *testing.T) {
	t.Parallel()
	const body = `{"a":{"b":1,"t":"x"},"list":[1,2],"none":null}`
	tests := map[string]string{
		`a.b`:             "has no =",
		`=1`:              "empty name",
		`a..b=1`:          "empty name",
		`a.b.c=1`:         "a.b is a number",
		`a.t.c=1`:         "a.t is a text",
		`list.7=1`:        "list is a list of 2",
		`list.7.x=1`:      "list is a list of 2",
		`list.x=1`:        "list is a list of 2",
		`list.-2=1`:       "list is a list of 2",
		`new.5=1`:         "no place 5",
		`none.99999999=1`: "no place 99999999",
		`list.#=1`:        "more than one place",
		`a.*=1`:           "more than one place",
	}
	for assignment, want := range tests {
		got, err := setPath([]byte(body), assignment)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gives %s, %v; want an error with %q", assignment, got, err, want)
		}
	}
}
