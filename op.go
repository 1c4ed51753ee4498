package registry

import (
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/reference"
)

// OpKind is one operation of a [Backend], or of an [Upload].
type OpKind string

// The operations. Those of Upload are operations of their own: a request of a client is often two
// or three.
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
	OpRenew            OpKind = "Renew" // a part of StatBlob or StatManifest that writes, see StatOptions
	OpRestore          OpKind = "Restore"
)

// Op is one call of an operation: what an authorizer, an interceptor or a log needs to know of it.
type Op struct {
	// Kind is the operation.
	Kind OpKind
	// Repository is the repository it is about; "" for Repositories.
	Repository string
	// Ref is the tag or digest it names, if it names one.
	Ref reference.Ref
	// Tags are the tags that PutManifest or Restore is to set, as far as they are named.
	Tags []TagPut
	// From is the source of a mount, "" if any.
	From string
	// If is the condition of PutManifest on the manifest itself, or that of a delete. Those on tags
	// are in Tags.
	If *Condition
	// UploadID is the upload of ResumeUpload, Append, Commit and Cancel.
	UploadID string

	// Result is the descriptor of what was read, written or mounted, once the operation has
	// succeeded. For Append, Size is the number of bytes added.
	Result ocispec.Descriptor
}

// Write reports whether the operation changes anything. One that is not known counts as a write.
func (op *Op) Write() bool {
	switch op.Kind {
	case OpOpenBlob, OpStatBlob, OpGetManifest, OpStatManifest, OpRepositories, OpTags, OpReferrers, OpHistory:
		return false
	}
	return true
}

// Access returns all that a caller must be allowed for the operation. That a mount may read its
// source, that tags may be overwritten, and which tags come back with a manifest, is asked besides,
// since refusing it does not refuse the operation. One that is not known asks for everything.
func (op *Op) Access() []auth.Access {
	repo := func(a auth.Action, tag string) auth.Access {
		return auth.Access{Type: auth.TypeRepository, Name: op.Repository, Action: a, Tag: tag}
	}
	switch op.Kind {
	case OpOpenBlob, OpStatBlob, OpTags, OpReferrers:
		return []auth.Access{repo(auth.Pull, "")}
	case OpGetManifest, OpStatManifest, OpHistory:
		return []auth.Access{repo(auth.Pull, op.Ref.Tag)}
	case OpCreateUpload, OpResumeUpload, OpAppend, OpCommit, OpCancel, OpMountBlob, OpRenew:
		return []auth.Access{repo(auth.Push, "")}
	case OpPutManifest, OpRestore:
		accesses := []auth.Access{repo(auth.Push, "")}
		for _, t := range op.Tags {
			accesses = append(accesses, repo(auth.Push, t.Name))
		}
		return accesses
	case OpDeleteBlob, OpDeleteManifest, OpDeleteRepository:
		return []auth.Access{repo(auth.Delete, "")}
	case OpDeleteTag:
		return []auth.Access{repo(auth.Delete, op.Ref.Tag)}
	case OpRepositories:
		return []auth.Access{{Type: auth.TypeRegistry, Name: auth.NameCatalog, Action: auth.All}}
	}
	return []auth.Access{{Type: auth.TypeRegistry, Name: auth.NameCatalog, Action: auth.All}, repo(auth.All, "")}
}
