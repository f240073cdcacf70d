//! A helm with files of its own, as that of a snap or a container: another /tmp, with a part of ours.

use std::path::Path;

use support::{CommandOutput, Sandbox};

use crate::TAILWATCH;
use crate::kubeconfig_snapshot::script;

#[test]
fn a_helm_with_another_tmp_gets_its_files_where_it_can_read_them() {
    let sandbox = Sandbox::up(TAILWATCH, &["--nodes", "1"]);
    let helm = sandbox.file("confined-helm");
    // What it sees of /tmp is the folder of the sandbox, with the state and the cache of this user.
    let folder = sandbox.file("").display().to_string();
    let mounts = format!(
        "mount -t tmpfs none /mnt && mkdir /mnt/seen && mount --rbind {folder} /mnt/seen && \
         mount -t tmpfs none /tmp && mkdir -p {folder} && mount --rbind /mnt/seen {folder}"
    );
    let program = sandbox.variable("TAILWATCH_HELM");
    script(&helm, &format!("exec unshare -rm sh -c '{mounts} && exec {program} \"$@\"' helm \"$@\""));
    let hidden = tempfile::tempdir_in("/tmp").unwrap();
    let preflight = |variables: &[(&str, &Path)]| {
        let answers = sandbox.answers();
        let mut command = sandbox.tailwatch_command(&["preflight", "--answers", &answers]);
        command.env("TAILWATCH_HELM", &helm).envs(variables.iter().copied());
        CommandOutput::of(command.output().unwrap())
    };
    preflight(&[]).ended_with(0);
    let unseen = preflight(&[("TAILWATCH_STATE", hidden.path())]).ended_with(4);
    assert!(unseen.stderr.contains("TAILWATCH_STATE") && unseen.stderr.contains("which exists"), "{}", unseen.stderr);
    // What the hint names.
    preflight(&[("TAILWATCH_STATE", &sandbox.file("state"))]).ended_with(0);
}
