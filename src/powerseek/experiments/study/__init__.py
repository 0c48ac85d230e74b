"""The study file: what is varied, what is claimed, and the trials that follow."""

from powerseek.experiments.study.schema import Study, load_study, make_study, parse_study

__all__ = ["Study", "load_study", "make_study", "parse_study"]
