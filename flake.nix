{
  description = "Guided installer that gives a Kubernetes cluster on a tailnet its observability stack";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixpkgs-unstable";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
        "x86_64-darwin"
        "aarch64-darwin"
      ];
      forEach = function: nixpkgs.lib.genAttrs systems (system: function nixpkgs.legacyPackages.${system});
      manifest = (builtins.fromTOML (builtins.readFile ./Cargo.toml)).package;
    in
    {
      packages = forEach (pkgs: {
        default = pkgs.rustPlatform.buildRustPackage {
          pname = manifest.name;
          version = manifest.version;
          src = self;
          cargoLock.lockFile = ./Cargo.lock;
          # The tests need the sandbox: scripts/test.
          doCheck = false;
          nativeBuildInputs = [
            pkgs.installShellFiles
            pkgs.makeWrapper
          ];
          postInstall = ''
            for shell in bash fish zsh; do $out/bin/tailwatch completions $shell > tailwatch.$shell; done
            $out/bin/tailwatch man > tailwatch.1
            installShellCompletion tailwatch.{bash,fish,zsh}
            installManPage tailwatch.1
            wrapProgram $out/bin/tailwatch --suffix PATH : ${pkgs.kubernetes-helm}/bin
          '';
          meta = {
            description = manifest.description;
            license = pkgs.lib.licenses.asl20;
            mainProgram = manifest.name;
          };
        };
      });
    };
}
