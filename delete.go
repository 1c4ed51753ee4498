package registry

import "net/http"

func (c *call) deleteManifest() error {
	cond, err := c.condition()
	if err != nil {
		return err
	}
	opts := &DeleteOptions{If: cond}
	if err := c.backend.DeleteManifest(c.writeContext(), c.op.Repository, c.op.Ref, opts); err != nil {
		return err
	}
	return c.writeEmpty(http.StatusAccepted)
}

func (c *call) deleteBlob() error {
	cond, err := c.condition()
	if err != nil {
		return err
	}
	opts := &DeleteOptions{If: cond}
	if err := c.backend.DeleteBlob(c.writeContext(), c.op.Repository, c.op.Ref.Digest, opts); err != nil {
		return err
	}
	return c.writeEmpty(http.StatusAccepted)
}
