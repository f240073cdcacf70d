package controllers

import (
	"context"
	"fmt"
	"time"

	core "k8s.io/api/core/v1"
	storage "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"tailwatch.dev/sandbox/world/cluster"
)

// volumeProvisioner creates a volume for each claim with a scheduled pod, and deletes released volumes.
type volumeProvisioner struct {
	cluster *cluster.Cluster
	failed  map[types.UID]*backoff
}

const provisioningFailure = "rpc error: code = ResourceExhausted desc = the limit of volumes is reached"

func (p *volumeProvisioner) reconcile(ctx context.Context) error {
	if _, silent := p.cluster.Fault("provisioner-not-responding"); silent {
		return nil
	}
	_, failing := p.cluster.Fault("provisioning-failed")
	claims, _ := p.cluster.Objects().Claims.List(labels.Everything())
	for _, claim := range claims {
		if claim.Status.Phase == core.ClaimBound {
			if err := p.grow(ctx, claim); err != nil {
				return err
			}
			continue
		}
		class := p.class(claim)
		if claim.Status.Phase != core.ClaimPending || class == nil {
			continue
		}
		if failing {
			p.fail(claim, class)
		} else if err := p.provision(ctx, claim, class); err != nil {
			return err
		}
	}
	volumes, _ := p.cluster.Objects().Volumes.List(labels.Everything())
	for _, volume := range volumes {
		if volume.Status.Phase == core.VolumeReleased && volume.DeletionTimestamp == nil {
			if err := p.cluster.Kube.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, meta.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
				return err
			}
		}
	}
	return nil
}

// class is the StorageClass by which a claim is provisioned now: nil for a class that the world does not have, or while
// the scheduler has not chosen the node of a class that waits for it.
func (p *volumeProvisioner) class(claim *core.PersistentVolumeClaim) *storage.StorageClass {
	placed := claim.Annotations["volume.kubernetes.io/selected-node"] != ""
	for _, class := range p.cluster.World.StorageClasses {
		waits := class.VolumeBindingMode != nil && *class.VolumeBindingMode == storage.VolumeBindingWaitForFirstConsumer
		if claim.Spec.StorageClassName != nil && class.Name == *claim.Spec.StorageClassName && (placed || !waits) {
			return &class
		}
	}
	return nil
}

func (p *volumeProvisioner) provision(ctx context.Context, claim *core.PersistentVolumeClaim, class *storage.StorageClass) error {
	name := "pvc-" + string(claim.UID)
	if _, err := p.cluster.Objects().Volumes.Get(name); err == nil {
		return nil
	}
	volume := &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: name, Annotations: map[string]string{"pv.kubernetes.io/provisioned-by": class.Provisioner}},
		Spec: core.PersistentVolumeSpec{
			Capacity:                      core.ResourceList{core.ResourceStorage: claim.Spec.Resources.Requests[core.ResourceStorage]},
			AccessModes:                   claim.Spec.AccessModes,
			StorageClassName:              *claim.Spec.StorageClassName,
			PersistentVolumeReclaimPolicy: core.PersistentVolumeReclaimDelete,
			ClaimRef: &core.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: claim.Namespace,
				Name: claim.Name, UID: claim.UID},
			PersistentVolumeSource: core.PersistentVolumeSource{HostPath: &core.HostPathVolumeSource{Path: "/sandbox/" + name}},
		},
	}
	_, err := p.cluster.Kube.CoreV1().PersistentVolumes().Create(ctx, volume, meta.CreateOptions{})
	return err
}

// grow makes a volume as large as its claim asks, as a driver does that grows volumes while they are in use.
func (p *volumeProvisioner) grow(ctx context.Context, claim *core.PersistentVolumeClaim) error {
	asked, has := claim.Spec.Resources.Requests[core.ResourceStorage], claim.Status.Capacity[core.ResourceStorage]
	if asked.Cmp(has) <= 0 {
		return nil
	}
	size := fmt.Sprintf("%q", asked.String())
	patch := []byte(`{"spec":{"capacity":{"storage":` + size + `}}}`)
	if _, err := p.cluster.Kube.CoreV1().PersistentVolumes().Patch(ctx, claim.Spec.VolumeName, types.MergePatchType, patch, meta.PatchOptions{}); err != nil {
		return err
	}
	patch = []byte(`{"status":{"capacity":{"storage":` + size + `}}}`)
	_, err := p.cluster.Kube.CoreV1().PersistentVolumeClaims(claim.Namespace).Patch(ctx, claim.Name, types.MergePatchType, patch, meta.PatchOptions{}, "status")
	return err
}

// fail repeats the events of a failed provisioning.
func (p *volumeProvisioner) fail(claim *core.PersistentVolumeClaim, class *storage.StorageClass) {
	if p.failed == nil {
		p.failed = map[types.UID]*backoff{}
	}
	if p.failed[claim.UID] == nil {
		p.failed[claim.UID] = &backoff{}
	}
	if !p.failed[claim.UID].isDue(time.Now()) {
		return
	}
	events := p.cluster.Recorder(class.Provisioner, "")
	events.Event(claim, core.EventTypeNormal, "Provisioning", fmt.Sprintf("External provisioner is provisioning volume for claim %q", claim.Namespace+"/"+claim.Name))
	events.Event(claim, core.EventTypeWarning, "ProvisioningFailed", fmt.Sprintf("failed to provision volume with StorageClass %q: %s", *claim.Spec.StorageClassName, provisioningFailure))
}
