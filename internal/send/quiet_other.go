//go:build !unix

package send

// quiet says whether a connection that was idle can be used again. Where a
// socket cannot be looked into, none is.
func (c *plainConn) quiet() bool { return false }
