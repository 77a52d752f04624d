package server

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// certificateInterval is how often the files are looked at.
const certificateInterval = 10 * time.Second

// certificate serves a certificate from files and reads them again when they
// change. A new pair that cannot be read is logged, and the old one serves on.
type certificate struct {
	cert, key string
	log       *slog.Logger

	mu      sync.Mutex
	pair    *tls.Certificate
	changed time.Time // of the files when they were read
	looked  time.Time
}

func newCertificate(cert, key string, log *slog.Logger) (*certificate, error) {
	c := &certificate{cert: cert, key: key, log: log, looked: time.Now()}
	if err := c.load(); err != nil {
		return nil, hook.Errorf(hook.CodeInvalid, "tls: %w", err)
	}
	return c, nil
}

func (c *certificate) load() error {
	changed, err := c.newest()
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return fmt.Errorf("read certificate %s with key %s: %w", c.cert, c.key, err)
	}
	c.pair, c.changed = &pair, changed
	return nil
}

func (c *certificate) newest() (time.Time, error) {
	var newest time.Time
	for _, path := range []string{c.cert, c.key} {
		info, err := os.Stat(path)
		if err != nil {
			return newest, err
		}
		if info.ModTime().After(newest) {
			newest = info.ModTime()
		}
	}
	return newest, nil
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.looked) >= certificateInterval {
		c.looked = now
		if changed, err := c.newest(); err != nil || !changed.Equal(c.changed) {
			if err := c.load(); err != nil {
				c.log.Error("certificate not reloaded", "error", err)
			} else {
				c.log.Info("certificate reloaded")
			}
		}
	}
	return c.pair, nil
}
