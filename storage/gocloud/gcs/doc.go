// Package gcs provides a [gocloud.Provider] for buckets of gocloud.dev/blob/gcsblob: Google Cloud
// Storage.
//
//	bucket, err := gcsblob.OpenBucket(ctx, client, "bucket", nil) // or blob.OpenBucket(ctx, "gs://bucket")
//	driver, err := gocloud.New(ctx, bucket, &gocloud.Options{Providers: []gocloud.Provider{gcs.Provider(nil)}})
//
// # What it does
//
// The version of an object is its generation. Conditions are preconditions of Cloud Storage
// (ifGenerationMatch), which checks them in the step that changes the object, also between
// processes. Reads, lists and writes are strongly consistent there.
//
// Requests of each operation of the Driver:
//
//	Open    1, also of a range and if the version is known; 2 if it begins at the end of the object or behind it
//	Stat    1
//	Put     1 below Parts.Size, from there on 1 and 1 for each part
//	Delete  1
//	List    1 for each 1000 objects, beginning at After
//
// A body of less than Parts.Size is one request. A larger one is a resumable upload, whose parts
// all have about that size. It may have any number of them, so Parts.Max does not count, and an
// object ends at 5 TiB. An upload holds one part in memory and a quarter of a MiB, whatever length
// was declared. What was begun and not completed is never visible, and Cloud Storage removes it
// after a week.
//
// # Failures
//
// A request that fails for a reason that may pass (408, 429, 5xx, a lost connection) is repeated
// with growing pauses, see [Options].Attempts, if a repetition cannot act twice: reads, parts, and
// writes and deletes with a condition. If the condition of a repeated write fails, an earlier
// attempt may have changed the object. So each object carries the name of its write in its
// metadata, and a Put checks that with one more request. If that does not settle it, the outcome is
// unknown and the error is driver.ErrUnavailable.
//
// Cloud Storage accepts about one write a second for each object, more for a moment, and then
// responds with 429. A tag that moves all the time meets that limit; the attempts bridge some
// seconds of it.
//
// A proxy must not respond on its own instead of Cloud Storage. The client shows neither the body
// of a 404 to a read nor the response to a list or a delete. So it would trust the response of such
// a proxy.
//
// # Requirements
//
// The credentials need the permissions storage.objects.create, get, list and delete, as in the role
// Storage Object User. Objects must not be public: Cloud Storage caches public objects for an hour
// and then serves replaced ones. No lifecycle rule may remove or rewrite objects. Object versioning
// and soft delete are not used and only cost money. The client must not be made with
// [storage.WithJSONReads], because such reads do not report when an object was stored.
//
// Signed URLs need a key or the permission to sign, see gcsblob.Options. They are of version 4,
// which is valid for at most 7 days.
//
// [storage.WithJSONReads]: https://pkg.go.dev/cloud.google.com/go/storage#WithJSONReads
package gcs
