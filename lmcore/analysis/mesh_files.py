"""Surfaces as VTK files."""

import os

from lmcore.files import whole_file


def write_mesh(path: str | os.PathLike, mesh) -> None:
    """Write a `pyvista.PolyData` as .vtp, whole or not at all.

    By way of memory: on a full disk VTK ends the process.
    """
    from vtkmodules.vtkIOXML import vtkXMLPolyDataWriter  # takes a second

    writer = vtkXMLPolyDataWriter()
    writer.SetInputData(mesh)
    writer.SetDataModeToBinary()
    writer.WriteToOutputStringOn()
    writer.Write()
    with whole_file(path) as temporary:
        temporary.write_text(writer.GetOutputString(), encoding="utf-8", newline="\n")
