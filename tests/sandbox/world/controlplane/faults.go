package controlplane

import (
	"context"
	"fmt"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// ApplyClusterFaults applies the active faults to nodes, the StorageClass and quotas.
func (p *ControlPlane) ApplyClusterFaults(ctx context.Context) error {
	if err := p.applyNodeFaults(ctx); err != nil {
		return err
	}
	_, without := p.Fault("no-storage-class")
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"%t"}}}`, defaultClass, !without)
	for _, class := range p.World.StorageClasses {
		if class.Annotations[defaultClass] != "true" {
			continue
		}
		if _, err := p.Kube.StorageV1().StorageClasses().Patch(ctx, class.Name, types.MergePatchType, patch, meta.PatchOptions{}); err != nil {
			return err
		}
	}
	if _, on := p.Fault("quota"); !on {
		quotas, err := p.Kube.CoreV1().ResourceQuotas("").List(ctx, meta.ListOptions{LabelSelector: "sandbox=fault"})
		if err != nil {
			return err
		}
		for _, quota := range quotas.Items {
			if err := p.Kube.CoreV1().ResourceQuotas(quota.Namespace).Delete(ctx, quota.Name, meta.DeleteOptions{}); err != nil {
				return err
			}
		}
	}
	return nil
}
