package api

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sigpost/sigpost/internal/hook"
)

// genericType is the type of sources that the wire has no name for, and of
// those whose sender does not sign.
const genericType = "generic-webhook"

const standardProvider = "standard-webhooks"

// providersOfTypes are the types of sources that the wire names and that we have
// a provider for. Many senders sign in the same way, by Standard Webhooks.
var providersOfTypes = map[string]string{
	genericType: "generic", "veriff": "veriff", "stripe": "stripe", "github": "github",
	"beehiiv": standardProvider, "brex": standardProvider, "clerk": standardProvider, "guesty": standardProvider, "incident-io": standardProvider,
	"lithic": standardProvider, "nash": standardProvider, "open-ai": standardProvider, "pleo": standardProvider, "psi-fi": standardProvider,
	"render": standardProvider, "replicate": standardProvider, "resend": standardProvider, "safebase": standardProvider, "sardine": standardProvider,
	"stych": standardProvider, "svix": standardProvider,
}

// sourceType is the type of a source as the wire names it.
func sourceType(x *hook.Source) string {
	switch {
	case x.Type != "":
		return x.Type
	case x.Provider == standardProvider:
		return "svix"
	case providersOfTypes[x.Provider] == x.Provider:
		return x.Provider
	}
	return genericType
}

func errType(kind string) error {
	types := slices.Sorted(maps.Keys(providersOfTypes))
	return invalid("the type "+kind+" is not supported; there are "+strings.Join(types, ", ")+"; for other senders name one of this server's providers in the field provider", "body", "type")
}

// sender settles who sends to a source from what a caller said of type and
// provider. A caller that knows of types only, and sends back the one that it
// was shown, changes nothing.
func (in *IngestSourceIn) sender(x *hook.Source) error {
	kind, name := value(in.Type), value(in.Provider)
	of, known := providersOfTypes[kind]
	if kind != "" && !known {
		return errType(kind)
	}
	switch {
	case kind == "" && name == "" && x.Provider == "":
		return invalid("is missing; who sends? Give a type, or name a provider", "body", "type")
	case name == "" && (kind == "" || x.Provider != "" && kind == sourceType(x)):
		return nil
	case name == "":
		x.Type, x.Provider = kind, of
		return nil
	}
	if p, alias := providersOfTypes[name]; alias { // clerk is who sends, and how is standard-webhooks
		if kind == "" {
			kind, of = name, p
		}
		name = p
	}
	if of == name {
		x.Type, x.Provider = kind, name
		return nil
	}
	if kind != "" && kind != genericType {
		return invalid("the type "+kind+" goes with the provider "+of+"; leave one of the two out", "body", "provider")
	}
	x.Type, x.Provider = "", name
	return nil
}

// settings puts the policies that a caller gave into those of a source. What was
// left out stays as it is.
func (in *IngestSourceExtension) settings(to *hook.SourceSettings) (err error) {
	if in.OnBadSignature != nil {
		to.Quarantine = *in.OnBadSignature == "quarantine"
	}
	if in.OnDuplicate != nil {
		to.Redeliver = *in.OnDuplicate == "forward"
	}
	if in.AllowIPs != nil {
		if to.AllowIPs, err = networks(in.AllowIPs); err != nil {
			return err
		}
	}
	if in.ProviderIPs != nil {
		to.ProviderIPs = *in.ProviderIPs
	}
	if in.MaxBody != nil {
		to.MaxBody = *in.MaxBody
	}
	if in.FlowID != nil {
		to.FlowID = *in.FlowID
	}
	if in.ForwardHeaders != nil {
		to.ForwardHeaders = in.ForwardHeaders
	}
	if err := checkText("flowId", to.FlowID, longestFlowID); err != nil {
		return err
	}
	return checkForwarded(to.ForwardHeaders)
}

const longestFlowID = 256

// networks are addresses and networks as they are kept: each a prefix.
func networks(list []string) ([]string, error) {
	out := make([]string, len(list))
	for i, text := range list {
		if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
			addr = addr.Unmap()
			out[i] = netip.PrefixFrom(addr, addr.BitLen()).String()
			continue
		}
		p, err := netip.ParsePrefix(text)
		switch {
		case err != nil:
			return nil, invalid("is neither a network like 10.0.0.0/8 nor an address like 10.0.0.1", "body", "allowIps")
		case p.Addr().Is4In6():
			return nil, invalid("is an IPv4 network in the form of IPv6; write it like 10.0.0.0/8", "body", "allowIps")
		case p != p.Masked():
			return nil, invalid(text+" is no network, because its mask cuts the address; write "+p.Masked().String()+" for the network", "body", "allowIps")
		}
		out[i] = p.String()
	}
	return out, nil
}

// neverForwarded belong to one connection or to our own URL; a source cannot
// allow them, unlike those that are withheld because they may hold a secret.
var neverForwarded = []string{"connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}

func checkForwarded(names []string) error {
	for _, name := range names {
		lower := strings.ToLower(name)
		if slices.Contains(neverForwarded, lower) || strings.HasPrefix(lower, "proxy-") || strings.HasPrefix(lower, "sigpost-") {
			return invalid(name+" belongs to one connection or to sigpost and is never forwarded; leave it out", "body", "forwardHeaders")
		}
	}
	return nil
}

// given are the secrets of a request, the newest first.
func (in *IngestSourceIn) given() ([]hook.Secret, error) {
	one := in.Config != nil && value(in.Config.Secret) != ""
	if one && in.Secrets != nil {
		return nil, invalid("give either this or config.secret", "body", "secrets")
	}
	if one {
		return []hook.Secret{hook.Secret(*in.Config.Secret)}, nil
	}
	var list []hook.Secret
	for _, s := range in.Secrets {
		list = append(list, hook.Secret(s))
	}
	return list, nil
}

// checkSettings says whether the provider of a source is known, and has what
// its settings ask for.
func (a *API) checkSettings(x *hook.Source) error {
	field, err := a.Runtime.CheckSettings(x.Provider, x.Settings)
	if err != nil {
		return invalid(err.Error(), "body", field)
	}
	return nil
}

// checkSource says at the field which is at fault whether there is such a
// provider, and whether it takes these secrets.
func (a *API) checkSource(provider string, secrets []hook.Secret, in *IngestSourceIn) error {
	err := a.Runtime.CheckSource(provider, secrets)
	if err == nil && len(secrets) > 0 && a.Runtime.CheckSource(provider, nil) == nil {
		err = hook.Errorf(hook.CodeInvalid, "%s does not sign, so there is no secret to verify with; leave it out", provider)
	}
	switch {
	case err == nil:
		return nil
	case isNotFound(err):
		return invalid(err.Error(), "body", "provider")
	case in.Secrets != nil:
		return invalid(err.Error(), "body", "secrets")
	}
	return invalid(err.Error(), "body", "config", "secret")
}

// mostSecrets is how many secrets of a source are valid at once.
const mostSecrets = 10

// secretChange decides what a PUT does to the secrets of a source. before is the
// provider that it had.
func (a *API) secretChange(ctx context.Context, in *IngestSourceIn, x *hook.Source, before string) (change hook.SecretChange, err error) {
	given, err := in.given()
	if err != nil {
		return change, err
	}
	other := x.Provider != before // whose secrets are of no use to the new one
	if len(given) == 0 && in.Secrets == nil && !other {
		return change, nil
	}
	if err := a.checkSource(x.Provider, given, in); err != nil {
		return change, err
	}
	if in.Secrets != nil || other {
		return hook.SecretChange{Replace: true, List: given}, nil
	}
	now := time.Now()
	live, err := a.Store.Secrets(ctx, x.ID, now)
	if err != nil {
		return change, err
	}
	if len(live) > 0 && live[0].Value == given[0] {
		return change, nil
	}
	if len(live) >= mostSecrets {
		return change, invalid("10 secrets are valid at once already, the most there may be; wait until one expires, or set all of them with secrets", "body", "config", "secret")
	}
	return hook.SecretChange{Fresh: given[0], Grace: defaultGrace, At: now}, nil
}
