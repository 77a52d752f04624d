package api

import (
	"context"

	"github.com/sigpost/sigpost/internal/hook"
	"github.com/sigpost/sigpost/signature"
)

// Intake decides about rejected requests.
type Intake interface {
	// Explain says why a request did not verify, by what its source is now.
	Explain(r *hook.Rejected) (signature.Explanation, error)
	// Readmit lets a request in that verifies now.
	Readmit(ctx context.Context, r *hook.Rejected) (hook.Receipt, error)
}
