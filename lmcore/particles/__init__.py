"""Dense corresponding points on surfaces: ShapeWorks, or coherent point drift in its place."""
