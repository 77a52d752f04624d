package intake

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/semaphore"
)

// startBuffer is how much is set aside for a body before any of it has come:
// who announces much and sends little costs little.
const startBuffer = 64 << 10

// room is the memory that one body has of what all bodies may have. It grows
// with what has come, so that connections which send nothing take little from
// those that do.
type room struct {
	memory *semaphore.Weighted
	held   int64
}

// grow makes room for size bytes in all, and says whether there is so much.
func (r *room) grow(size int64) bool {
	if size <= r.held {
		return true
	}
	if !r.memory.TryAcquire(size - r.held) {
		return false
	}
	r.held = size
	return true
}

func (r *room) free() { r.memory.Release(r.held) }

// readBody reads the exact bytes of a body, never a part of them.
func readBody(w http.ResponseWriter, r *http.Request, limit int64, room *room) ([]byte, *answer) {
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	size := min(limit, startBuffer)
	if r.ContentLength >= 0 {
		size = min(r.ContentLength, startBuffer)
	}
	reader := http.MaxBytesReader(w, r.Body, limit)
	var body []byte
	for {
		if !room.grow(size) {
			return nil, &answer{status: http.StatusServiceUnavailable, outcome: Overloaded, detail: "too much is being received at once; try again"}
		}
		body = slices.Grow(body, int(size)-len(body))
		n, err := io.ReadFull(reader, body[len(body):size])
		body = body[:len(body)+n]
		switch {
		case r.ContentLength >= 0 && int64(len(body)) == r.ContentLength:
			return body, nil
		case r.ContentLength < 0 && (err == io.EOF || err == io.ErrUnexpectedEOF):
			return body, nil
		case err != nil:
			if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
				return nil, tooLarge(limit)
			}
			return nil, cut(err)
		}
		size = min(2*size, limit+1) // one more byte than the limit tells that it is passed
	}
}

func tooLarge(limit int64) *answer {
	return &answer{status: http.StatusRequestEntityTooLarge, outcome: TooLarge,
		detail: "the body is longer than the " + strconv.FormatInt(limit, 10) + " bytes that this source takes; max_body raises the limit"}
}

func cut(err error) *answer {
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return &answer{status: http.StatusRequestTimeout, outcome: BadRequest, detail: "the body came too slowly", err: err}
	}
	return &answer{status: http.StatusBadRequest, outcome: BadRequest, detail: "the body ended before its announced length, or is not well-formed HTTP", err: err}
}

// decoded undoes a Content-Encoding, within limit, so that the event inside can
// be classified; what is kept and forwarded are the bytes as they came. What
// cannot be undone is classified as it is.
func decoded(h http.Header, body []byte, limit int64) []byte {
	encoding := h.Get("Content-Encoding")
	if encoding == "" {
		return body
	}
	var reader io.Reader
	var err error
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "gzip", "x-gzip":
		reader, err = gzip.NewReader(bytes.NewReader(body))
	case "deflate":
		reader, err = zlib.NewReader(bytes.NewReader(body))
	default:
		return body
	}
	if err != nil {
		return body
	}
	plain, err := io.ReadAll(io.LimitReader(reader, limit+1))
	if err != nil || int64(len(plain)) > limit {
		return body
	}
	return plain
}
