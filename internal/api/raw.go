package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sigpost/sigpost/internal/hook"
)

func registerRaw(a *API) {
	register(a, operation{
		id: "message.get-raw", method: http.MethodGet, path: "/api/v1/app/{app_id}/msg/{msg_id}/raw", summary: "Read a message's payload, byte for byte, as a file",
		access: accessRead, files: []string{"application/octet-stream"},
	}, a.rawMessage)
}

// rawMessage answers with the payload as it was kept. It is never of its own content type:
// a page that somebody sent must not become one of ours. That type stands in a header.
func (a *API) rawMessage(ctx context.Context, in *MessagePath) (*huma.StreamResponse, error) {
	app, err := a.app(ctx, in.AppID)
	if err != nil {
		return nil, err
	}
	k, err := a.messageKey(ctx, app.ID, in.MsgID)
	if err != nil {
		return nil, err
	}
	m, err := a.withBody(ctx, app.ID, k)
	if err != nil {
		return nil, err
	}
	id := a.IDs.Public(hook.KindMessage, m.ID)
	if m.Body == nil {
		return nil, hook.Errorf(hook.CodeNotFound, "the payload of %s was deleted", id)
	}
	return &huma.StreamResponse{Body: func(h huma.Context) {
		h.SetHeader("Content-Type", "application/octet-stream")
		h.SetHeader("Content-Disposition", `attachment; filename="`+id+`"`)
		h.SetHeader("Content-Security-Policy", "default-src 'none'; sandbox")
		if kind := contentType(&m); kind != "" && hook.CheckHeader("X", kind) == nil { // what a header can carry
			h.SetHeader(OriginalTypeHeader, kind)
		}
		if _, err := h.BodyWriter().Write(m.Body); err != nil {
			a.Log.Debug("payload not written", "message", id, "error", err)
		}
	}}, nil
}

// OriginalTypeHeader says of what content type a payload is.
const OriginalTypeHeader = "Sigpost-Content-Type"
