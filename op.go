package registry

import (
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/reference"
)

// OpKind names one operation of a [Backend] or of an [Upload].
type OpKind string

// The operations. Those of an Upload are operations of their own, so a client's request often
// causes two or three.
const (
	OpOpenBlob         OpKind = "OpenBlob"
	OpStatBlob         OpKind = "StatBlob"
	OpGetManifest      OpKind = "GetManifest"
	OpStatManifest     OpKind = "StatManifest"
	OpCreateUpload     OpKind = "CreateUpload"
	OpResumeUpload     OpKind = "ResumeUpload"
	OpAppend           OpKind = "Append"
	OpCommit           OpKind = "Commit"
	OpCancel           OpKind = "Cancel"
	OpMountBlob        OpKind = "MountBlob"
	OpPutManifest      OpKind = "PutManifest"
	OpDeleteBlob       OpKind = "DeleteBlob"
	OpDeleteManifest   OpKind = "DeleteManifest"
	OpDeleteTag        OpKind = "DeleteTag" // DeleteManifest with a tag
	OpDeleteRepository OpKind = "DeleteRepository"
	OpRepositories     OpKind = "Repositories"
	OpTags             OpKind = "Tags"
	OpReferrers        OpKind = "Referrers"
	OpHistory          OpKind = "History"
	OpRenew            OpKind = "Renew" // a write within StatBlob or StatManifest, see StatOptions
	OpRestore          OpKind = "Restore"
)

// Op describes one call of an operation, for an authorizer, an interceptor or a log.
type Op struct {
	// Kind is the operation.
	Kind OpKind
	// Repository is the repository of the operation, or "" for Repositories.
	Repository string
	// Ref is the tag or digest that the operation names, if any.
	Ref reference.Ref
	// Tags are the tags that PutManifest or Restore sets, as far as the caller names them.
	Tags []TagPut
	// From is the source of a mount, or "" if the caller names none.
	From string
	// If is the condition of a delete, or that of PutManifest on the manifest itself. Conditions on
	// tags are in Tags.
	If *Condition
	// IfUnused is DeleteOptions.IfUnused of a delete.
	IfUnused bool
	// UploadID is the upload of ResumeUpload, Append, Commit and Cancel.
	UploadID string

	// Result is the descriptor of the content that was read, written or mounted. It is set after
	// the operation has succeeded. For Append, Size is the number of bytes added.
	Result ocispec.Descriptor
}

// Write reports whether the operation changes anything. It returns true for an unknown kind, so
// that a read-only policy fails closed.
func (op *Op) Write() bool {
	switch op.Kind {
	case OpOpenBlob, OpStatBlob, OpGetManifest, OpStatManifest, OpRepositories, OpTags, OpReferrers, OpHistory:
		return false
	}
	return true
}

// Access returns everything that a caller must be allowed to do for the operation. For an unknown
// kind it returns all actions on the registry and the repository, so that authorisation fails
// closed.
//
// Three permissions are checked separately, because their refusal does not refuse the operation: to
// pull from the source of a mount, to overwrite tags, and to set the tags that return with a
// restored manifest.
func (op *Op) Access() []auth.Access { return op.appendAccess(nil) }

// appendAccess appends the result of Access.
func (op *Op) appendAccess(accesses []auth.Access) []auth.Access {
	a := auth.Access{Type: auth.TypeRepository, Name: op.Repository}
	switch op.Kind {
	case OpOpenBlob, OpStatBlob, OpTags, OpReferrers:
		a.Action = auth.Pull
	case OpGetManifest, OpStatManifest, OpHistory:
		a.Action, a.Tag = auth.Pull, op.Ref.Tag
	case OpCreateUpload, OpResumeUpload, OpAppend, OpCommit, OpCancel, OpMountBlob, OpRenew:
		a.Action = auth.Push
	case OpPutManifest, OpRestore:
		a.Action = auth.Push
		accesses = append(accesses, a)
		for _, t := range op.Tags {
			a.Tag = t.Name
			accesses = append(accesses, a)
		}
		return accesses
	case OpDeleteManifest:
		a.Action, a.Untagged = auth.Delete, op.IfUnused
	case OpDeleteBlob, OpDeleteRepository:
		a.Action = auth.Delete
	case OpDeleteTag:
		a.Action, a.Tag = auth.Delete, op.Ref.Tag
	case OpRepositories:
		return append(accesses, auth.Access{Type: auth.TypeRegistry, Name: auth.NameCatalog, Action: auth.All})
	default:
		accesses = append(accesses, auth.Access{Type: auth.TypeRegistry, Name: auth.NameCatalog, Action: auth.All})
		a.Action = auth.All
	}
	return append(accesses, a)
}

// same reports whether other describes the same operation. It returns false for operations with
// tags or conditions.
func (op *Op) same(other *Op) bool {
	return op.Kind == other.Kind && op.Repository == other.Repository && op.Ref == other.Ref &&
		op.From == other.From && op.IfUnused == other.IfUnused && op.UploadID == other.UploadID &&
		len(op.Tags)+len(other.Tags) == 0 && op.If == nil && other.If == nil
}
