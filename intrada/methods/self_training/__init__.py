"""An online teacher and what it computes for a target batch; used by intrada/methods/mean_teacher.py."""
