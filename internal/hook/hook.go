// Package hook holds the words of Sigpost, one file per noun: messages,
// deliveries, attempts, sources, endpoints, their ids and states, and the one
// error type. It imports nothing but the standard library and does nothing:
// whatever two packages must agree on is a word and stands here.
package hook
