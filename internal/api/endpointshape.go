package api

import (
	"slices"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// EndpointPath names an endpoint of an application in a path.
type EndpointPath struct {
	AppPath
	EndpointID string `path:"endpoint_id" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"The endpoint's id or uid"`
}

// EndpointFields are what PUT and POST have in common.
type EndpointFields struct {
	URL          string            `json:"url" minLength:"1" maxLength:"65536" format:"uri"`
	Description  string            `json:"description,omitempty" maxLength:"4096"`
	ThrottleRate *int              `json:"throttleRate,omitempty" minimum:"1" maximum:"65535" doc:"Attempts a second"`
	RateLimit    *int              `json:"rateLimit,omitempty" minimum:"1" maximum:"65535" doc:"Earlier name of throttleRate"`
	UID          *string           `json:"uid,omitempty" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$"`
	Disabled     *bool             `json:"disabled,omitempty"`
	EventTypes   []string          `json:"eventTypes,omitempty" maxItems:"512" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"The event types that it gets; all when left out"`
	FilterTypes  []string          `json:"filterTypes,omitempty" maxItems:"512" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"Earlier name of eventTypes"`
	Channels     []string          `json:"channels,omitempty" maxItems:"10" maxLength:"128" pattern:"^[a-zA-Z0-9\\-_.:+]+$"`
	Metadata     map[string]string `json:"metadata,omitempty"`
	EndpointExtension
}

// EndpointExtension is what Sigpost adds. What is left out of a PUT stays as it is.
type EndpointExtension struct {
	EventTypePatterns []string      `json:"eventTypePatterns,omitempty" maxItems:"512" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.*]+$" doc:"Event types with * as a wildcard, instead of eventTypes"`
	Signature         *SignatureIn  `json:"signature,omitempty" doc:"Sign as another provider does"`
	Policy            *string       `json:"policy,omitempty" maxLength:"64" doc:"Deliver as this provider does"`
	Paused            *bool         `json:"paused,omitempty" doc:"Hold deliveries until it is false again"`
	Retries           *[]int        `json:"retries,omitempty" maxItems:"64" minimum:"1" maximum:"604800" doc:"Seconds to wait after each failure, the last one repeats; the usual schedule when it is empty"`
	RetriesFor        *[]RetriesFor `json:"retriesFor,omitempty" maxItems:"64" doc:"Other waits for some event types; the first that fits counts"`
	OrderExtension
}

// SignatureIn chooses how requests to an endpoint are signed.
type SignatureIn struct {
	Scheme string  `json:"scheme" minLength:"1" maxLength:"64" doc:"A scheme's or provider's name, for example stripe"`
	Secret *string `json:"secret,omitempty" minLength:"1" maxLength:"1024"`
}

// EndpointIn makes an endpoint.
type EndpointIn struct {
	EndpointFields
	Secret  *string           `json:"secret,omitempty" maxLength:"512" doc:"whsec_ and base64, or whsk_ for Ed25519; made when left out"`
	Headers map[string]string `json:"headers,omitempty"`
	Version *int              `json:"version,omitempty" doc:"Of earlier clients; changes nothing"`
}

// EndpointUpsertIn replaces an endpoint.
type EndpointUpsertIn struct {
	EndpointFields
	Version *int `json:"version,omitempty" doc:"Of earlier clients; changes nothing"`
}

// EndpointPatch changes an endpoint.
type EndpointPatch struct {
	URL               *string            `json:"url,omitempty" minLength:"1" maxLength:"65536" format:"uri"`
	Description       *string            `json:"description,omitempty" maxLength:"4096"`
	ThrottleRate      Maybe[int]         `json:"throttleRate,omitzero" minimum:"0" maximum:"65535"`
	RateLimit         Maybe[int]         `json:"rateLimit,omitzero" minimum:"0" maximum:"65535"`
	UID               Maybe[string]      `json:"uid,omitzero" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$"`
	Disabled          *bool              `json:"disabled,omitempty"`
	EventTypes        Maybe[[]string]    `json:"eventTypes,omitzero" maxItems:"512" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$"`
	FilterTypes       Maybe[[]string]    `json:"filterTypes,omitzero" maxItems:"512" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$"`
	Channels          Maybe[[]string]    `json:"channels,omitzero" maxItems:"10" maxLength:"128" pattern:"^[a-zA-Z0-9\\-_.:+]+$"`
	Metadata          map[string]string  `json:"metadata,omitempty"`
	Version           *int               `json:"version,omitempty"`
	EventTypePatterns Maybe[[]string]    `json:"eventTypePatterns,omitzero" maxItems:"512" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.*]+$"`
	Signature         Maybe[SignatureIn] `json:"signature,omitzero"`
	Policy            Maybe[string]      `json:"policy,omitzero" maxLength:"64"`
	Paused            Maybe[bool]        `json:"paused,omitzero"`
	Retries           *[]int             `json:"retries,omitempty" maxItems:"64" minimum:"1" maximum:"604800"`
	RetriesFor        *[]RetriesFor      `json:"retriesFor,omitempty" maxItems:"64"`
	OrderPatch
}

// SignatureOut says how requests are signed.
type SignatureOut struct {
	Scheme string `json:"scheme"`
}

// EndpointOut is an endpoint.
type EndpointOut struct {
	ID                string            `json:"id"`
	URL               string            `json:"url"`
	Description       string            `json:"description"`
	ThrottleRate      *int              `json:"throttleRate,omitempty" nullable:"true"`
	RateLimit         *int              `json:"rateLimit,omitempty" nullable:"true"`
	UID               *string           `json:"uid,omitempty" nullable:"true"`
	Disabled          bool              `json:"disabled" required:"false"`
	EventTypes        []string          `json:"eventTypes" nullable:"true" required:"false"`
	FilterTypes       []string          `json:"filterTypes" nullable:"true" required:"false"`
	Channels          []string          `json:"channels" nullable:"true" required:"false"`
	Metadata          map[string]string `json:"metadata"`
	Version           int               `json:"version"`
	CreatedAt         time.Time         `json:"createdAt"`
	UpdatedAt         time.Time         `json:"updatedAt"`
	EventTypePatterns []string          `json:"eventTypePatterns,omitempty" doc:"When it has wildcards; eventTypes is null then"`
	Signature         *SignatureOut     `json:"signature,omitempty" doc:"When it is not that of Standard Webhooks"`
	Policy            *string           `json:"policy,omitempty"`
	OrderOut
	Paused     bool         `json:"paused"`
	State      string       `json:"state" enum:"enabled,paused,disabled"`
	Reason     *string      `json:"reason,omitempty" doc:"Why it is paused or disabled"`
	ManagedBy  string       `json:"managedBy" enum:"api,file" doc:"What file manages is read-only here"`
	Retries    []int        `json:"retries,omitempty" doc:"When they are not the usual ones"`
	RetriesFor []RetriesFor `json:"retriesFor,omitempty"`

	FailingSince *time.Time `json:"failingSince,omitempty" nullable:"true" doc:"Since when every attempt has failed; absent while it works"`
}

func hasPatterns(types []string) bool {
	return slices.ContainsFunc(types, func(t string) bool { return strings.Contains(t, "*") })
}

// endpointOut shows an endpoint; failing is since when it fails, zero while it works.
func (a *API) endpointOut(e hook.Endpoint, failing time.Time) EndpointOut {
	out := EndpointOut{
		ID: a.IDs.Public(hook.KindEndpoint, e.ID), URL: e.URL, Description: e.Description, ThrottleRate: pointer(e.Throttle), RateLimit: pointer(e.Throttle), UID: pointer(e.UID),
		Disabled: e.State == hook.Disabled, EventTypes: e.EventTypes, FilterTypes: e.EventTypes, Channels: e.Channels, Metadata: orEmpty(e.Metadata), Version: 1,
		CreatedAt: when(e.CreatedAt), UpdatedAt: when(e.UpdatedAt), Policy: pointer(e.Policy), OrderOut: orderOut(&e.Order), Paused: e.State == hook.Paused,
		State: e.State.String(), Reason: pointer(e.Reason), ManagedBy: "api", Retries: secondsOf(e.Schedule), RetriesFor: retriesForOf(e.Schedules),
		FailingSince: moment(failing),
	}
	if e.ManagedByFile {
		out.ManagedBy = "file"
	}
	if hasPatterns(e.EventTypes) {
		out.EventTypePatterns, out.EventTypes, out.FilterTypes = e.EventTypes, nil, nil
	}
	if len(e.EventTypes) == 0 { // an empty list would mean none to some clients
		out.EventTypes, out.FilterTypes = nil, nil
	}
	if len(e.Channels) == 0 {
		out.Channels = nil
	}
	if e.SchemeName != "" {
		out.Signature = &SignatureOut{e.SchemeName}
	}
	return out
}

// into puts what a caller sent into an endpoint. What only Sigpost knows stays
// as it is when it was left out.
func (in *EndpointFields) into(e *hook.Endpoint) error {
	patterns := len(in.EventTypePatterns) > 0
	types := in.EventTypes
	if len(types) == 0 {
		types = in.FilterTypes
	}
	switch {
	case patterns && len(types) > 0:
		return invalid("give either this or eventTypes", "body", "eventTypePatterns")
	case patterns:
		e.EventTypes = in.EventTypePatterns
	case len(types) > 0 || !hasPatterns(e.EventTypes):
		e.EventTypes = types
	}
	e.URL, e.Description, e.UID, e.Channels, e.Metadata = in.URL, in.Description, value(in.UID), in.Channels, in.Metadata
	e.Throttle = value(first(in.ThrottleRate, in.RateLimit))
	if in.Policy != nil {
		e.Policy = *in.Policy
	}
	if in.Signature != nil {
		e.SchemeName = in.Signature.Scheme
	}
	in.OrderExtension.into(&e.Order)
	setState(e, in.Disabled, in.Paused)
	if err := setRetries(e, in.Retries, in.RetriesFor); err != nil {
		return err
	}
	return distinctAll(map[string][]string{
		"eventTypes": in.EventTypes, "filterTypes": in.FilterTypes, "channels": in.Channels, "eventTypePatterns": in.EventTypePatterns,
	})
}

// setState follows what a caller said of disabled and paused.
func setState(e *hook.Endpoint, disabled, paused *bool) {
	switch {
	case disabled != nil && *disabled:
		if e.State != hook.Disabled {
			e.State, e.Reason = hook.Disabled, hook.DisabledByHand
		}
	case paused != nil && *paused:
		e.State, e.Reason = hook.Paused, "paused by hand"
	case disabled != nil && e.State == hook.Disabled, paused != nil && e.State == hook.Paused:
		e.State, e.Reason = hook.Enabled, ""
	}
}

func (in *EndpointPatch) into(e *hook.Endpoint) error {
	if in.URL != nil {
		e.URL = *in.URL
	}
	if in.Description != nil {
		e.Description = *in.Description
	}
	in.RateLimit.into(&e.Throttle)
	in.ThrottleRate.into(&e.Throttle)
	in.UID.into(&e.UID)
	in.FilterTypes.into(&e.EventTypes)
	in.EventTypes.into(&e.EventTypes)
	if in.EventTypePatterns.Null && !hasPatterns(e.EventTypes) {
		in.EventTypePatterns.Set = false // there are none to clear
	} else {
		in.EventTypePatterns.into(&e.EventTypes)
	}
	in.Channels.into(&e.Channels)
	in.Policy.into(&e.Policy)
	in.OrderPatch.into(&e.Order)
	if in.Metadata != nil {
		e.Metadata = in.Metadata
	}
	switch {
	case in.Signature.Null:
		e.SchemeName = ""
	case in.Signature.Set:
		e.SchemeName = in.Signature.Value.Scheme
	}
	var paused *bool
	if in.Paused.Set {
		paused = &in.Paused.Value
	}
	setState(e, in.Disabled, paused)
	if err := setRetries(e, in.Retries, in.RetriesFor); err != nil {
		return err
	}
	return distinctAll(map[string][]string{
		"eventTypes": in.EventTypes.Value, "filterTypes": in.FilterTypes.Value, "channels": in.Channels.Value, "eventTypePatterns": in.EventTypePatterns.Value,
	})
}
