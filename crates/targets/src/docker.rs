//! Docker and Podman: instances in containers, traffic by the router.
