package strictyaml

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// Plain reads any YAML document, which JSON is as well, into maps, lists and
// scalars. It is for documents of others, whose keys are not ours to check.
func Plain(raw []byte) (any, error) {
	var v any
	if err := yaml.Unmarshal(raw, &v); err != nil {
		return nil, fmt.Errorf("read YAML: %w", err)
	}
	return v, nil
}
