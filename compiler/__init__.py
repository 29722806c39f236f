"""The compiler: ONNX to graph to integers to tiles to program to bundle.

``pipeline.compile_model`` runs the passes, ``bundle`` stores the result, and
``runner`` puts it on the numpy engine.
"""
