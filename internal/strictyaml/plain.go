package strictyaml

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// Plain reads any YAML document, which JSON is as well, into maps, lists and
// scalars. It is for documents of others, whose keys are not ours to check.
func Plain(raw []byte) (v any, err error) {
	defer func() {
		if p := recover(); p != nil { // the library panics on some input that it thinks impossible
			v, err = nil, fmt.Errorf("read YAML: %v", p)
		}
	}()
	if err := yaml.Unmarshal(raw, &v); err != nil {
		return nil, fmt.Errorf("read YAML: %w", err)
	}
	return v, nil
}
