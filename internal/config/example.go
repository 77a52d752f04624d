package config

import _ "embed"

//go:embed example.yaml
var example []byte

// Example is a commented configuration that is valid once the environment
// variables that it names are set.
func Example() []byte { return example }
