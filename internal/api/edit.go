package api

import (
	"context"
	"crypto/sha256"
	"io"

	"github.com/sigpost/sigpost/internal/hook"
)

// Who changes what he read a moment ago would take back what others did since. So the
// store keeps no change of a row that is not as it was read, and what was
// refused is made again of the row as it is.

// mostEdits bounds how often a change is made again. On each node one waits for the
// other, so even ten nodes need few.
const mostEdits = 100

// edit runs a change of one thing – it reads the thing, changes it and keeps it – and
// runs it again while others keep theirs in between. what names the thing for this
// node, where changes of it wait for each other.
func (a *API) edit(ctx context.Context, what string, change func() error) error {
	leave := a.flight.enter(ctx, editHash(what))
	if leave == nil {
		return ctx.Err()
	}
	defer leave()
	for range mostEdits {
		if err := change(); err == nil || hook.CodeOf(err) != hook.CodeStale {
			return err
		}
	}
	return hook.Errorf(hook.CodeUnavailable, "others change the same thing again and again; try again in a moment")
}

// editHash keeps changes apart from idempotency keys, which share flight.
func editHash(what string) hook.Hash {
	h := sha256.New()
	io.WriteString(h, "edit "+what)
	return hook.Hash(h.Sum(nil)[:16])
}
