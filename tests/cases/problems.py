"""Small problems that cover padding modes, layouts, dtypes, groups, dilations and partly filled tiles."""

# every feature, alone and combined; every algorithm but the specialised ones computes each problem
PROBLEMS = (
    "n1c1h1w1-k1r1s1",
    "n2c3h6w7-k4r1s1-bias",
    "n1c2h9w8-k3r3s3-pad1",
    "n1c4h7w7-k4r3s3-pad2-g2-bias",
    "n2c3h6w5-k3r3s3-pad1-g3-bias",
    "n1c2h5w11-k2r3s3-pad0.2x1.0-dil2x3",
    "n1c2h9w10-k2r2s3-pad2.0x1.3-stride2x3-bias",
    "n1c3h7w9-k6r2s4-pad1-stride3x1-dil3x2-g3",
    "n1c1h4w30-k2r1s7-pad0x3",
    "n1c2h5w6-k2r3s3-pad2-bias-reflect",
    "n1c2h3w4-k2r3s3-pad1.3x2.0-replicate",
    "n1c2h4w5-k2r3s3-pad3-circular",
    "n1c24h4w4-k2r3s3-pad1",
    "n1c2h5w4-k17r2s1",  # a second tile of filters
    "n1c1h3w3-k1r3s3-pad40-dil40",  # a dilation far beyond the output
    "n2c3h5w4-k2r3s3-pad1-bias-NHWC",
    "n1c2h6w5-k6r3s3-pad2.0x1.3-g2-bias-reflect-NHWC-RSCK",
    "n1c2h5w5-k2r3s3-pad1-RSCK",
    "n2c2h5w4-k3r3s3-pad1-bias-float64",
    "n1c64h5w4-k2r3s3-pad1-float16",  # enough terms to show in which dtype they are summed
    "n1c16h6w5-k16r3s3-pad1-g2-bias-bfloat16",
    "n1c3h6w7-k3r3s3-pad1.2x0.1-g3-replicate-float16-NHWC",
)
