package registry

import "net/http"

func (c *call) deleteManifest() error {
	if err := c.backend.DeleteManifest(c.writeContext(), c.op.Repository, c.op.Ref, nil); err != nil {
		return err
	}
	return c.writeEmpty(http.StatusAccepted)
}

func (c *call) deleteBlob() error {
	if err := c.backend.DeleteBlob(c.writeContext(), c.op.Repository, c.op.Ref.Digest, nil); err != nil {
		return err
	}
	return c.writeEmpty(http.StatusAccepted)
}
