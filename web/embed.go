// Package web is the dashboard and the portal: what a browser loads, built from
// src by Vite and committed under dist, so that a build of the program needs no
// Node. It serves files and nothing else; the page speaks the public API.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed dist
var dist embed.FS

// Paths of the pages. Whatever else they show stands behind the #, so that a
// deep link needs nothing of the server.
const (
	DashboardPath = "/"
	PortalPath    = "/portal"
	assetsPrefix  = "/assets/"
	page          = "/index.html"
)

// Options of a Handler.
type Options struct {
	// FrameAncestors are the origins that may show the portal in a frame when it
	// is asked for like this: its organization stands in the query. nil allows none.
	FrameAncestors func(r *http.Request) []string
}

// Handler serves the dashboard. Make one with New.
type Handler struct {
	o     Options
	files map[string]*file // by path
}

// file is one file as it is sent.
type file struct {
	plain, zipped []byte // zipped is nil where it would not be shorter
	kind, etag    string
	immutable     bool // its name changes with its content
}

// New reads the files that were built in, and compresses them once.
func New(o Options) (*Handler, error) {
	h := &Handler{o: o, files: map[string]*file{}}
	root, err := fs.Sub(dist, "dist")
	if err != nil {
		return nil, fmt.Errorf("open dashboard: %w", err)
	}
	z, err := gzip.NewWriterLevel(nil, gzip.BestCompression) // one for all: each takes a megabyte
	if err != nil {
		return nil, err
	}
	err = fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		h.files["/"+name], err = newFile("/"+name, raw, z)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read dashboard: %w", err)
	}
	if h.files[page] == nil {
		return nil, fmt.Errorf("read dashboard: there is no %s; build it with `make web`", page)
	}
	return h, nil
}

func newFile(name string, raw []byte, z *gzip.Writer) (*file, error) {
	sum := sha256.Sum256(raw)
	f := &file{plain: raw, kind: mime.TypeByExtension(path.Ext(name)), etag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`, immutable: strings.HasPrefix(name, assetsPrefix)}
	switch path.Ext(name) { // not what the machine's tables say
	case ".js":
		f.kind = "text/javascript; charset=utf-8"
	case ".css":
		f.kind = "text/css; charset=utf-8"
	case ".svg":
		f.kind = "image/svg+xml"
	}
	var out bytes.Buffer
	z.Reset(&out)
	if _, err := z.Write(raw); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	if out.Len() < len(raw) {
		f.zipped = bytes.Clone(out.Bytes())
	}
	return f, nil
}

// Serves says whether there is something at a path.
func (h *Handler) Serves(p string) bool {
	return h.find(p) != nil
}

func (h *Handler) find(p string) *file {
	switch p {
	case DashboardPath, PortalPath:
		return h.files[page]
	case page:
		return nil // one address a page
	}
	return h.files[p]
}

// ServeHTTP answers with the file at a path.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := h.find(r.URL.Path)
	if f == nil {
		http.NotFound(w, r)
		return
	}
	header := w.Header()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "ask with GET or HEAD", http.StatusMethodNotAllowed)
		return
	}
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Vary", "Accept-Encoding")
	header.Set("Cache-Control", "no-cache") // asked for again each time, and sent when it changed
	if f.immutable {
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if f == h.files[page] {
		h.protect(header, r)
	}
	body, etag := f.plain, f.etag
	if f.zipped != nil && acceptsGzip(r.Header.Values("Accept-Encoding")) {
		header.Set("Content-Encoding", "gzip")
		body, etag = f.zipped, strings.TrimSuffix(f.etag, `"`)+`-gzip"`
	}
	header.Set("ETag", etag)
	if known(r.Header.Values("If-None-Match"), f.etag, etag) {
		header.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Type", f.kind)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(body) // who left needs no answer
	}
}

// policy is what the page may do: run and show its own files, and ask its own
// server. Nothing inline, nothing from elsewhere.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors "

// protect sets the headers of a page.
func (h *Handler) protect(header http.Header, r *http.Request) {
	ancestors := "'none'"
	if r.URL.Path == PortalPath && h.o.FrameAncestors != nil {
		if origins := h.o.FrameAncestors(r); len(origins) > 0 {
			ancestors = strings.Join(origins, " ")
		}
	}
	header.Set("Content-Security-Policy", policy+ancestors)
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
}

// acceptsGzip says whether a client takes gzip; q=0 is a no.
func acceptsGzip(lines []string) bool {
	for item := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		name, weight, _ := strings.Cut(strings.ReplaceAll(item, " ", ""), ";")
		if strings.EqualFold(name, "gzip") {
			q, err := strconv.ParseFloat(strings.TrimPrefix(strings.ToLower(weight), "q="), 64)
			return weight == "" || err == nil && q > 0
		}
	}
	return false
}

// known says whether a client has one of the versions already.
func known(lines []string, etags ...string) bool {
	for item := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		item = strings.TrimPrefix(strings.TrimSpace(item), "W/")
		for _, e := range etags {
			if item == e || item == "*" {
				return true
			}
		}
	}
	return false
}
