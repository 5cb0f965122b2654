/// Losses that pull the two clips of a video together. Rows are view-major: rows [0,B) are the first clips, rows [B,2B)
/// the second clips of the same B videos. Computed in f32 whatever the autocast type (f64 stays f64).
#pragma once
#include <ATen/core/Tensor.h>

#include "cstp/distributed/world.h"

namespace cstp {

/// f32, but f64 as it is.
at::Tensor at_least_f32(const at::Tensor& x);

/// Rows of unit length; rows shorter than 1e-8 are divided by that instead. f32 (or f64).
at::Tensor unit_rows(const at::Tensor& x);

/// Rows [0,B) and [B,2B) exchanged: the row of the same video's other clip.
at::Tensor other_clip(const at::Tensor& rows);

/// D(q,z) = 2 - 2<q,z>/(|q||z|), row by row: [N,D] x [N,D] -> [N].
at::Tensor cosine_distance(const at::Tensor& q, const at::Tensor& z);

/// mean over videos of D(q_1,z_2) + D(q_2,z_1), in [0,8]. (BYOL; CSTP's released code.) q, z: [2B,D]; z without
/// gradient.
at::Tensor byol_loss(const at::Tensor& q, const at::Tensor& z);

/// InfoNCE between the clips of a batch, by cosine: each row's positive is its other clip, its negatives are the
/// 2B - 2 clips of the other videos, those of the other ranks among them. Mean over this rank's 2b rows. (Built but
/// unused in CSTP's released code.) @param z [2b,D], this rank's
at::Tensor info_nce(const at::Tensor& z, double temperature, const World& world = {});

/// InfoNCE against a queue, by cosine: row i's positive is keys[i], its negatives are the rows of the queue. Mean over
/// rows. q, keys: [N,D], queue: [K,D] of unit rows; keys and queue without gradient.
at::Tensor queue_info_nce(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& queue, double temperature);

}  // namespace cstp
