"""onnxruntime: .onnx files as they are, networks as ONNX graphs."""
