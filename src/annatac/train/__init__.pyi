from .pretraining import pretrain as pretrain
