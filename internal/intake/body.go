package intake

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// startBuffer is how much is set aside for a body before any of it has come:
// who announces much and sends little costs little.
const startBuffer = 64 << 10

// readBody reads the exact bytes of a body, never a part of them.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, *answer) {
	large := answer{status: http.StatusRequestEntityTooLarge, outcome: TooLarge, detail: "the body is longer than the " + strconv.FormatInt(limit, 10) + " bytes that this source takes; max_body raises the limit"}
	if r.ContentLength > limit {
		return nil, &large
	}
	reader := http.MaxBytesReader(w, r.Body, limit)
	if r.ContentLength >= 0 && r.ContentLength <= startBuffer {
		body := make([]byte, r.ContentLength)
		if _, err := io.ReadFull(reader, body); err != nil {
			return nil, cut(err)
		}
		return body, nil
	}
	var buf bytes.Buffer
	if r.ContentLength > 0 {
		buf.Grow(startBuffer)
	}
	_, err := buf.ReadFrom(reader)
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, &large
	}
	if err != nil {
		return nil, cut(err)
	}
	return buf.Bytes(), nil
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
