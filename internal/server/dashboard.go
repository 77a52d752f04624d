package server

import "net/http"

// frameAncestors are the origins that may show the portal of the organization
// that a request names in its query. Where that cannot be found out nobody may.
func (s *Server) frameAncestors(r *http.Request) []string {
	origins, err := s.api.PortalAncestors(r.Context(), r.URL.Query().Get("org"))
	if err != nil {
		s.o.Log.Error("portal is shown to no frame", "error", err)
	}
	return origins
}
