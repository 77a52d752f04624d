// Package signature signs and verifies webhooks the way their senders do it.
//
// A Scheme is a plain value that says how requests are signed: in which
// header, with which algorithm, over which bytes. Those of Veriff, MetaMap,
// Meeva, meetbot, Standard Webhooks, Stripe, GitHub and Slack are built in;
// Custom takes any other that the value can express.
//
//	verifier, err := signature.NewVerifier(signature.Veriff(), newSecret, oldSecret)
//	if err != nil {
//		return err
//	}
//	http.Handle("/hook", verifier.Middleware(signature.MiddlewareOptions{})(handler))
//
// Without net/http's handlers, give Verify the exact bytes that came:
//
//	result, err := verifier.Verify(signature.Request{Header: h, Body: body}, time.Now())
//
// A Verifier and a Signer hold a scheme and its live secrets, decoded once.
// Verify and Sign are pure: they read no clock and touch no network, so the
// caller passes the time in. Middleware is the exception; it takes the time
// from time.Now.
//
// Whoever called an endpoint should learn nothing but "invalid signature".
// Explain tells an operator more: it tries what usually goes wrong – an older
// secret, a body that was parsed and written anew, a clock that is off – and
// reports what would have made the signature valid. No error and no finding
// contains a secret or an expected signature.
//
// The package does not know what is in a body: types, ids and subjects of
// events are not its business. It imports only the standard library.
package signature
