// Package signature signs and verifies webhooks the way their senders do it.
package signature
