"""Texts of plugins that several tests write into a file."""

# it needs `import os`, and Config and Direct of algorithms.direct.plain
ENDS_WITH_ONE = """
class EndsWithOne(Direct):
    name = "ends_with_one"

    def configs(self, problem, direction):
        return (Config(threads=32), Config(threads=64), Config(threads=128))

    def plan(self, problem, device, *, config=None, **words):
        if config == Config(threads=64):
            os._exit(6)
        return super().plan(problem, device, config=config, **words)
"""
