// Package hook runs functions of the host before and after operations of a registry. Give the
// results of [Before] and [After] to registry.New in Options.Interceptors.
//
//   - [Before] can refuse an operation. The client sees the reason, see [Deny]. With
//     BeforeOptions.AfterRead it decides about what was read: the manifest that a tag points at.
//   - [After] runs after an operation has succeeded, and cannot change its result. To hear of
//     changes reliably, use a notification.Sink with an outbox instead: a crash between the
//     operation and the function loses the call.
//
// The name of the caller is in the context, see registry.IdentityFrom. A function that itself needs
// the registry uses the store, not the Registry, so that its own calls do not run the hooks again.
//
// # Functions that fail
//
// A function has a time limit, and its panics are contained. It runs in a goroutine of its own. If
// it ignores the end of its context, the operation goes on without it, and the goroutine remains
// until the function returns. The number of such goroutines is limited by BeforeOptions.Concurrency
// and AfterOptions.Concurrency.
package hook
