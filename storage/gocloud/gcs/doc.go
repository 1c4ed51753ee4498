// Package gcs is a [gocloud.Provider] for Google Cloud Storage, with gocloud.dev/blob/gcsblob:
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
// A request that fails with what may pass (408, 429, 5xx, a lost connection) is repeated with
// growing pauses, see [Options].Attempts, if that cannot do anything twice: reads, parts, and
// writes and deletes with a condition. If then the condition fails, the request before may have
// been what changed the object. Each object is stored with a name of its write in its metadata, so
// that a Put finds out with one more request; where that does not tell, the outcome is unknown and
// the error is driver.ErrUnavailable.
//
// Cloud Storage takes about one write a second of each object, more for a moment, and then answers
// 429. A tag that is moved all the time meets that limit; the attempts bridge some seconds of it.
//
// Nothing may answer in the place of Cloud Storage: the client does not show the body of a 404 to a
// read, nor the answer to a list or a delete, so a proxy that answers itself would be believed.
//
// # What it needs
//
// The permissions storage.objects.create, get, list and delete (the role Storage Object User has
// them). Objects must not be public: Cloud Storage caches what is public for an hour, and shows
// what has been replaced; also not beside them, with a lifecycle rule, anything that removes or
// rewrites objects. Object versioning and soft delete are not used and only cost. The client must
// not be made with [storage.WithJSONReads], with which reads do not tell when an object was stored.
//
// Signed URLs need a key, or the permission to sign, see gcsblob.Options. They are of version 4,
// which ends after 7 days at most.
//
// [storage.WithJSONReads]: https://pkg.go.dev/cloud.google.com/go/storage#WithJSONReads
package gcs
