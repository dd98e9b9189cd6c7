"""What runs beside the project: servers, images, cluster manifests, the corpus that comes with it."""
