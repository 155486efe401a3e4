"""The stacks of one environment: `make synth ENV=dev`. Nothing of the program is imported here; it is packaged and compiled as files."""
