package role

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"net/http"
	"sync"
)

// maxBody is the longest body taken, in bytes.
const maxBody = 1 << 20

// intake verifies a request as Veriff signs it, hands the body to keep, and answers 200
// when keep has returned.
type intake struct {
	keep    func(body []byte) error // must not hold on to body
	buffers sync.Pool
	macs    sync.Pool
}

func newIntake(secret string, keep func([]byte) error) *intake {
	return &intake{
		keep:    keep,
		buffers: sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }},
		macs:    sync.Pool{New: func() any { return hmac.New(sha256.New, []byte(secret)) }},
	}
}

func (in *intake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	buf := in.buffers.Get().(*[]byte)
	defer in.buffers.Put(buf)
	body, err := readAll((*buf)[:0], http.MaxBytesReader(w, r.Body, maxBody))
	*buf = body
	if err != nil {
		http.Error(w, "cannot read the body", http.StatusBadRequest)
		return
	}
	if !in.verify(r.Header.Get("X-HMAC-SIGNATURE"), body) {
		http.Error(w, "invalid signature", http.StatusUnauthorized)
		return
	}
	if err := in.keep(body); err != nil {
		http.Error(w, "not kept", http.StatusServiceUnavailable)
	}
}

// verify compares the hex HMAC-SHA256 of the body with the header, in constant time.
func (in *intake) verify(header string, body []byte) bool {
	var got, want [sha256.Size]byte
	if len(header) != hex.EncodedLen(len(got)) {
		return false
	}
	if _, err := hex.Decode(got[:], []byte(header)); err != nil {
		return false
	}
	mac := in.macs.Get().(hash.Hash)
	defer in.macs.Put(mac)
	mac.Reset()
	mac.Write(body)
	mac.Sum(want[:0])
	return hmac.Equal(got[:], want[:])
}

// readAll is io.ReadAll into a buffer that is used again.
func readAll(buf []byte, r io.Reader) ([]byte, error) {
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
}
