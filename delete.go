package registry

import "net/http"

func (c *call) deleteManifest() error {
	if err := c.backend.DeleteManifest(c.writeContext(), c.op.Repository, c.op.Ref); err != nil {
		return err
	}
	return c.writeEmpty(http.StatusAccepted)
}

func (c *call) deleteBlob() error {
	if err := c.backend.DeleteBlob(c.writeContext(), c.op.Repository, c.op.Ref.Digest); err != nil {
		return err
	}
	return c.writeEmpty(http.StatusAccepted)
}
