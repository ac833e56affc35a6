"""SAM 2's mask decoder sooner: the same masks without a copy of the image for each prompt.

Let x (P, C) be the image tokens of one prompt, P = 4096. Image-to-token attention adds A' U' to
them: attention weights A' (P, K) of all heads side by side, times U' = V Wo by head (K, C), where
K = heads x tokens = 64. A norm centres, divides and multiplies. So after every layer

    x         = s (x0 + A U) + b                where s (P, 1), A (P, K), U (K, C); all share x0, b
    x + A' U' = s (x0 + [A, A' / s] [U; U'])    the next update; b is a part of U', see below
    var(x)    = s^2 (mean(x0^2) + 2 A (U x0^T) / C + A (U U^T / C) A^T)          row by row
    norm(x)   = s' (x0 w + A (U w)) + b'        s' = s / sqrt(var(x) + eps); x0 and U centred
    x W       = s (x0 W + A (U W)) + b W        any projection: of the layers, of the upscaling

What has P x C numbers is worked out once per image (x0 W, mean(x0^2), x0^T by output projection);
what is worked out per prompt has K rows. As the weights of a head sum to 1, each row of V is given
a last 1, which Wo maps to the bias of the projection and to b, divided by the number of heads.

`low_rank` holds this form, `attention` and `transformer` the layers in it, `upscaling` the way to
pixels, `numba_kernels` what lies between its matrix products on a CPU, `threads` several prompts at
once. None has parameters: all read those of `sam2.modeling`, with whose masks tests compare theirs.
For inference: no gradient passes.
"""

from sam2.fast.mask_decoder import FastMaskDecoder

__all__ = ["FastMaskDecoder"]
