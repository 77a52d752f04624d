//go:build !unix

package child

import "time"

// Own is the CPU time of the bench itself; known on Unix only.
func Own() time.Duration { return 0 }

// Settle does nothing here.
func Settle() {}
